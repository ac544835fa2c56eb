// A receiver takes a little now and then; the sender's write runs into its deadline.
package main

import (
	"fmt"
	"net"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	done := make(chan int)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		part := make([]byte, 2000)
		for i := 0; i < 25; i++ {
			connection.Read(part)
			time.Sleep(100 * time.Millisecond) // prints a label
		}
		connection.Close()
		done <- 0
	}()
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		panic(err)
	}
	connection.SetWriteDeadline(time.Now().Add(2 * time.Second))
	block := make([]byte, 20_000_000)
	sent, err := connection.Write(block)
	fmt.Println(sent, err)
	<-done
	connection.Close()
}
