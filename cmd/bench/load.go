package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
)

// mode is what a client does with its connection.
type mode string

const (
	keepAlive mode = "keep-alive" // asks again on the same connection
	closing   mode = "close"      // asks with Connection: close and reads to the end
	hangUp    mode = "hang up"    // asks as if to stay, and leaves after the answer, as players do
)

var modes = []mode{keepAlive, closing, hangUp}

// requests are ready-made: 10,000 listeners of different addresses and players.
func requests(m mode, n int) [][]byte {
	players := []string{"VLC/3.0.20 LibVLC/3.0.20", "Lavf/59.27.100", "mpg123/1.31.2", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Music Player Daemon 0.23.12"}
	dice := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		var b strings.Builder
		// Addresses from 24.0.0.0 to 95.255.255.255, where people live.
		fmt.Fprintf(&b, "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: %s\r\nAccept: */*\r\nIcy-MetaData: 1\r\nX-Forwarded-For: %d.%d.%d.%d\r\n",
			players[i%len(players)], 24+dice.IntN(72), dice.IntN(256), dice.IntN(256), 1+dice.IntN(254))
		if m == closing {
			b.WriteString("Connection: close\r\n")
		}
		b.WriteString("\r\n")
		out[i] = []byte(b.String())
	}
	return out
}

// drive sends n requests over a few clients at once.
func drive(addr string, m mode, reqs [][]byte, n, clients int) error {
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	for c := range clients {
		wg.Go(func() {
			if err := client(addr, m, reqs, c*len(reqs)/clients, n/clients); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func client(addr string, m mode, reqs [][]byte, first, n int) error {
	var conn net.Conn
	var answers *bufio.Reader
	var err error
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	for i := range n {
		if conn == nil {
			if conn, err = net.Dial("tcp", addr); err != nil {
				return err
			}
			answers = bufio.NewReaderSize(conn, 1024)
		}
		if _, err = conn.Write(reqs[(first+i)%len(reqs)]); err != nil {
			return err
		}
		stays, err := readAnswer(answers)
		if err != nil {
			return err
		}
		if m == closing {
			if _, err := io.Copy(io.Discard, answers); err != nil {
				return err
			}
		}
		if m != keepAlive || !stays {
			conn.Close()
			conn = nil
		}
	}
	return nil
}

// readAnswer reads one redirect and says whether the server keeps the connection.
func readAnswer(r *bufio.Reader) (stays bool, err error) {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(string(status), "HTTP/1.1 302 ") {
		return false, fmt.Errorf("not a redirect: %s", status)
	}
	stays = true
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		if len(line) == 2 {
			return stays, nil
		}
		if strings.EqualFold(strings.TrimSpace(string(line)), "connection: close") {
			stays = false
		}
	}
}
