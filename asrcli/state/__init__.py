"""What outlives a run: answers, uploads, jobs, results, and what was sent, in one database."""
