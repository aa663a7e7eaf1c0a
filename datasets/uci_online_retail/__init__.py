"""Online Retail: a year of invoices of a British wholesaler of gifts."""
