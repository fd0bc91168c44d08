#!/bin/sh
echo "$# $1 $2"; pwd; echo e >&2
