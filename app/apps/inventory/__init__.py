"""What is in stock: items, and what the stock is worth."""
