// An HTTP request reaches a server that reads a length first: the first four letters become 1347375956.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

func serve(listener net.Listener, done chan<- bool) {
	connection, _ := listener.Accept()
	head := make([]byte, 4)
	io.ReadFull(connection, head)
	message := make([]byte, binary.BigEndian.Uint32(head))
	got, err := io.ReadFull(connection, message)
	fmt.Println(got, err)
	connection.Close()
	done <- true
}

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	done := make(chan bool)
	go serve(listener, done)
	client, _ := net.Dial("tcp", listener.Addr().String())
	fmt.Fprint(client, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	client.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	answer := make([]byte, 100)
	_, err := client.Read(answer)
	fmt.Println(err)
	client.Close()
	<-done
}
