"""The servers that Kennel is compared with, each written as its own documentation would have it."""
