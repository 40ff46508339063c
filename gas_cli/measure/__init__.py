"""What a process and a stage take: seconds and memory."""
