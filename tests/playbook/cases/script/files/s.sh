#!/bin/sh
echo "$1"; echo "$2"; echo err >&2
