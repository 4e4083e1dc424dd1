"""The paper's claims, put to the test: trainings, what is measured in them, and a table for each claim."""
