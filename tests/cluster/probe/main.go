// Command probe asks functions as a stranger in the cluster does, and prints what
// they answer: an event that would make the stranger a room's owner, without the
// callers' secret and with a wrong one.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

const event = `{"specversion":"1.0","id":"1","source":"/users/mallory","type":"dev.knatter.member.joined","subject":"room",` +
	`"sequence":"0000000000000001","data":{"user":"mallory","nickname":"mallory","role":"owner"}}`

func main() {
	for _, url := range os.Args[1:] {
		for shown, secret := range map[string]string{"nothing": "", "a guess": "a-guess-0123456789"} {
			answer, err := ask(url, secret)
			if err != nil {
				answer = err.Error()
			}
			fmt.Printf("%s showing %s: %s\n", url, shown, answer)
		}
	}
}

func ask(url, secret string) (string, error) {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(event))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/cloudevents+json")
	if secret != "" {
		r.Header.Set("Knatter-Secret", secret)
		r.Header.Set("Ce-Knattersecret", secret)
	}
	client := http.Client{Timeout: time.Minute} // a function may have to start
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("WWW-Authenticate")), nil
}
