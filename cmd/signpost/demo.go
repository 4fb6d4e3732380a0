package main

type demoCmd struct{}

func (demoCmd) Run(*console) error { return nil }
