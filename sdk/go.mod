module github.com/millrace/millrace/sdk

go 1.26.0

toolchain go1.26.8
