#!/bin/sh
echo partial
exit 4
