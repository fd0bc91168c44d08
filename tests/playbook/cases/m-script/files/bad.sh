#!/bin/sh
echo out
exit 7
