"""What people read: metrics as they come, the summary of a run, the table of a sweep, curves."""
