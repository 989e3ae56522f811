"""Request bodies: from a stream to bytes, from bytes to images, from images to the network's input."""
