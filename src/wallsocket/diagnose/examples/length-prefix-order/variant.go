// One end writes little-endian lengths, the other reads big-endian ones.
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
	var length uint32
	binary.Read(connection, binary.BigEndian, &length)
	message := make([]byte, length)
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
	message := []byte("temperature 21.5")
	client.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(message))), message...))
	client.SetReadDeadline(time.Now().Add(1500 * time.Millisecond))
	answer := make([]byte, 100)
	_, err := client.Read(answer)
	fmt.Println(err)
	client.Close()
	<-done
}
