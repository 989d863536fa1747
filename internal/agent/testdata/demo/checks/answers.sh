#!/bin/sh
tool
