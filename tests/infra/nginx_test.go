package infra

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"knatter.dev/chat/internal/listen/listentest"
)

const nginxFrom = "Debian: nginx-light"

func TestNginxConfig(t *testing.T) {
	nginx := installed(t, "nginx", nginxFrom)
	if out, err := exec.CommandContext(t.Context(), nginx, "-t", "-e", "stderr", "-c", absolute(t, dir+"/compose/nginx.conf")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// People chat through the proxy: requests, the upgrade, frames both ways. Only the
// addresses are others than in the file.
func TestNginxProxies(t *testing.T) {
	nginx := installed(t, "nginx", nginxFrom)
	listen, _ := start(t)
	temp, front := t.TempDir(), listentest.Address(t)
	config := strings.NewReplacer(
		"connector:8080", listen,
		"listen 8080", "listen "+front,
		" /tmp/", " "+temp+"/",
		"worker_rlimit_nofile 65536;", "",
		"worker_connections 16384;", "worker_connections 64;",
	).Replace(string(read(t, "compose/nginx.conf")))
	if os.Getuid() == 0 { // workers would be somebody else, who may not write to temp
		config = "user root;\n" + config
	}
	file := filepath.Join(temp, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, exec.Command(nginx, "-e", "stderr", "-c", file, "-g", "daemon off;"))
	answers(t, "http://"+front+"/readyz")
	session, conn := person(t, "http://"+front, "alice")
	talk(t, session, conn)
}
