"""The table of raw requests that both servers must answer alike."""
