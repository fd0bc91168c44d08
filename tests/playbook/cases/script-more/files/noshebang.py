import sys
print("py", len(sys.argv), sys.argv[1:])
