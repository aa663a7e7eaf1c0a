"""The Complete Journey: a year of groceries bought by households, with a catalogue of 92,331 products."""
