"""Files to a prefix in S3: only what changed, several at a time, and going on where an upload was cut off."""
