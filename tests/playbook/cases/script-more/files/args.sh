#!/bin/sh
echo "args: $# $1 $2"
echo "env: $NAME"
pwd > /dev/null
