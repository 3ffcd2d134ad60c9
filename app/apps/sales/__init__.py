"""What was sold, and the receipts for it."""
