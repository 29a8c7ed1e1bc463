"""How a transcript looks: text, JSON, subtitles; a terminal."""
