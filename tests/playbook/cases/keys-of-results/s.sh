#!/bin/sh
echo "$1"
test "$1" = arg
