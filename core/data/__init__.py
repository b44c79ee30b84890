"""Photos: finding them, checking them, dividing them. Free of torch."""
