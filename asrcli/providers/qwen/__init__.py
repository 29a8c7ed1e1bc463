"""Qwen Cloud, also known as DashScope and Model Studio."""
