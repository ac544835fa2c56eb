// Calls by way of package net: see lines.c.
package main

import "net"

//go:noinline
func talk(address string, done chan<- int) {
	connection, err := net.Dial("tcp", address) // HERE connect
	if err != nil {
		panic(err)
	}
	n, _ := connection.Write([]byte("hello")) // HERE write
	connection.Close()
	done <- n
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // HERE bind
	if err != nil {
		panic(err)
	}
	done := make(chan int)
	go talk(listener.Addr().String(), done)
	connection, err := listener.Accept() // HERE accept4
	if err != nil {
		panic(err)
	}
	<-done
	buffer := make([]byte, 16)
	connection.Read(buffer) // HERE read
}
