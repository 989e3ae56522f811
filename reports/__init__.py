"""The pages for people: one self-contained HTML file each, without a network, with pictures and charts inside."""
