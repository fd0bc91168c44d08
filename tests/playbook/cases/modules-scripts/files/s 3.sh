echo spaced $1
