package attesttest

import (
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Metadata is a metadata service like EC2's, version 2 alone: a document is given for a token, a token for a PUT with a
// lifetime. Whatever came through a proxy is refused, as EC2 does.
type Metadata struct {
	// Document is what it hands out. Serve, if set, answers for it instead.
	Document []byte
	Serve    http.HandlerFunc
	// Token, if set, answers the request for a token.
	Token http.HandlerFunc

	mu    sync.Mutex
	asked []string
}

const (
	metadataToken = "AQAEAHg7-a-token-of-the-metadata-service=="
	tokenHeader   = "X-aws-ec2-metadata-token"
	ttlHeader     = "X-aws-ec2-metadata-token-ttl-seconds"
)

// Asked lists the requests so far, as "PUT /latest/api/token".
func (m *Metadata) Asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.asked...)
}

func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked = append(m.asked, r.Method+" "+r.URL.Path)
	m.mu.Unlock()
	switch {
	case r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Via") != "":
		http.Error(w, "403 - Forbidden", http.StatusForbidden)
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
		m.token(w, r)
	case r.Method != http.MethodGet:
		http.Error(w, "405 - Method Not Allowed", http.StatusMethodNotAllowed)
	case r.Header.Get(tokenHeader) != metadataToken:
		http.Error(w, "401 - Unauthorized", http.StatusUnauthorized)
	case r.URL.Path != "/latest/dynamic/instance-identity/rsa2048":
		http.NotFound(w, r)
	case m.Serve != nil:
		m.Serve(w, r)
	default:
		_, _ = w.Write(m.Document)
	}
}

func (m *Metadata) token(w http.ResponseWriter, r *http.Request) {
	if m.Token != nil {
		m.Token(w, r)
		return
	}
	ttl := r.Header.Get(ttlHeader)
	if n, err := strconv.Atoi(ttl); err != nil || n < 1 || n > 21600 {
		http.Error(w, "400 - Bad Request", http.StatusBadRequest)
		return
	}
	w.Header().Set(ttlHeader, ttl)
	_, _ = io.WriteString(w, metadataToken)
}
