"""A model behind an address: a small REST service, and a page on which it runs in any browser."""
