"""What Kennel has in the account: found by tag and by name, priced, and removed."""
