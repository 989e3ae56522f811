"""What a step costs, from a dated price table, and the person's consent to it."""
