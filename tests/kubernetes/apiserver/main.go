// Runs a command beside a real Kubernetes API server with an etcd of its own, on free ports and in a
// temporary directory, and ends with the command's exit code:
//
//	apiserver PATH-OF-KUBE-APISERVER COMMAND [ARGUMENTS]
//
// The command finds the server by KUBECONFIG. There are no nodes and no controllers: objects are
// judged and stored, and nothing is made of them.
package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// Who asks. The server listens on the loopback interface and ends with the command.
const token = "test"

const startWithin = 120 * time.Second

func main() {
	// The server ends when the thread ends that has started it.
	runtime.LockOSThread()
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: apiserver PATH-OF-KUBE-APISERVER COMMAND [ARGUMENTS]")
		os.Exit(64)
	}
	err := run(os.Args[1], os.Args[2], os.Args[3:])
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

func run(binary, command string, arguments []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "apiserver-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	etcd, client, err := startEtcd(filepath.Join(dir, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()

	port, server, err := startServer(binary, dir, client)
	if err != nil {
		return err
	}
	// Killed, because nothing of it is to outlive this process.
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if err := ready(ctx, port); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return fmt.Errorf("%w; its log:\n%s", err, log)
	}

	config := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(kubeconfig, port, token)), 0o600); err != nil {
		return err
	}
	child := exec.CommandContext(ctx, command, arguments...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.Env = append(os.Environ(), "KUBECONFIG="+config)
	return child.Run()
}

func startEtcd(dir string) (*embed.Etcd, string, error) {
	client, err := freeURL()
	if err != nil {
		return nil, "", err
	}
	peer, err := freeURL()
	if err != nil {
		return nil, "", err
	}
	config := embed.NewConfig()
	config.Dir = dir
	// It has much to say of being closed.
	config.LogLevel = "panic"
	config.UnsafeNoFsync = true
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, "", err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, client.String(), nil
	case <-time.After(startWithin):
		etcd.Close()
		return nil, "", errors.New("not ready in time")
	}
}

func startServer(binary, dir, etcd string) (int, *exec.Cmd, error) {
	port, err := freePort()
	if err != nil {
		return 0, nil, err
	}
	key := filepath.Join(dir, "service-account.key")
	if err := writeKey(key); err != nil {
		return 0, nil, err
	}
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(token+",test,test\n"), 0o600); err != nil {
		return 0, nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return 0, nil, err
	}
	server := exec.Command(binary,
		"--etcd-servers="+etcd,
		"--cert-dir="+filepath.Join(dir, "certs"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--authorization-mode=AlwaysAllow",
		"--token-auth-file="+tokens,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+key,
		"--service-account-signing-key-file="+key,
		"--service-cluster-ip-range=10.0.0.0/24",
		// No controller makes the accounts that pods name.
		"--disable-admission-plugins=ServiceAccount",
	)
	server.Stdout, server.Stderr = log, log
	// It ends with this process, also when that is killed.
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		return 0, nil, err
	}
	return port, server, nil
}

func ready(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/readyz", port), nil)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("the API server is not ready in time")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func freeURL() (url.URL, error) {
	port, err := freePort()
	return url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}, err
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true } }]
users: [{ name: test, user: { token: "%s" } }]
contexts: [{ name: test, context: { cluster: test, user: test } }]
current-context: test
`
