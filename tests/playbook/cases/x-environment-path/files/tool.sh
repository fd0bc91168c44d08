#!/bin/sh
echo "tool $TOOL_MODE $1"
