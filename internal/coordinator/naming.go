package coordinator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"muster/internal/late"
)

// name names a message by its content, for those who hold the message. To anybody else the name tells nothing, because
// it is made with a key: a plain digest over a plan would let whoever sees it try out weak secrets.
func (s *Service) name(message any) string {
	// JSON of a map is ordered, so equal content has an equal name.
	raw, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("a directive that cannot be encoded: %T", message))
	}
	mac := hmac.New(sha256.New, s.naming)
	mac.Write(raw)
	return hex.EncodeToString(mac.Sum(nil))
}

// secretsID names the secrets among the values; it is empty when there are none.
func (s *Service) secretsID(values map[string]string) string {
	own := map[string]string{}
	for ref, value := range values {
		if _, ok := late.SecretName(ref); ok {
			own[ref] = value
		}
	}
	if len(own) == 0 {
		return ""
	}
	return s.name([]any{"secrets", own})[:32]
}
