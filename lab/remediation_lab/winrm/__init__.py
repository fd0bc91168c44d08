"""A WinRM server on loopback: NTLM and Negotiate with message encryption, WinRS shells, real subprocesses behind them."""
