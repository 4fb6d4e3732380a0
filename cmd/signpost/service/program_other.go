//go:build !linux

package service

func forgetProgram() int { return 0 }
