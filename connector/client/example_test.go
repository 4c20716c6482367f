package client_test

import (
	"context"
	"fmt"
	"log"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
)

// A bot that answers every message that greets it.
func Example() {
	ctx := context.Background()
	session, err := client.New("http://localhost:8080").LogIn(ctx, "bot@example.org", "correct horse battery")
	if err != nil {
		log.Fatal(err)
	}
	conn, err := session.Connect(ctx, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	conn.SubscribeAll()
	for e := range conn.Events() {
		var message chat.Posted
		if e.Type != chat.MessagePosted || e.User() == session.User.ID || e.Decode(&message) != nil {
			continue
		}
		if message.Text == "hello" {
			if _, err := conn.Send(ctx, e.Room, fmt.Sprintf("Hello, %s!", e.User())); err != nil {
				log.Print(err)
			}
		}
	}
	log.Print(conn.Err()) // the user has to log in again, or is not allowed any more
}
