package main

import (
	"encoding/binary"
	"io"
	"net"
	"os"
)

func serve(connection net.Conn) {
	defer connection.Close()
	for {
		var length uint32
		if binary.Read(connection, binary.BigEndian, &length) != nil || length > 100000 {
			return
		}
		message := make([]byte, 4+length)
		binary.BigEndian.PutUint32(message, length)
		if _, err := io.ReadFull(connection, message[4:]); err != nil {
			return
		}
		for i := 4; i < len(message); i++ {
			if message[i] >= 'a' && message[i] <= 'z' {
				message[i] -= 32
			}
		}
		if _, err := connection.Write(message); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", ":"+os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		if connection, err := listener.Accept(); err == nil {
			go serve(connection)
		}
	}
}
