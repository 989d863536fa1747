package coordinator

import operatorv1 "muster/proto/muster/operator/v1"

// PushNeeds is what a push needs of the generation. The agents' digests come with it, so it does not matter where their
// bytes are fetched.
func (s *Service) PushNeeds() *operatorv1.GetPushResponse {
	g := s.gen.g
	resp := &operatorv1.GetPushResponse{
		SshUser: g.SSH.User, SshPort: int32(g.SSH.Port), Sources: s.gen.sources(), Agents: make(map[string]*operatorv1.AgentBlob, len(g.Agents)),
	}
	for _, l := range g.Hosts {
		resp.Hosts = append(resp.Hosts, &operatorv1.ListedHost{Name: l.Name, Address: l.Address, Cidr: l.CIDR, Role: string(l.Role)})
	}
	for arch, blob := range g.Agents {
		resp.Agents[string(arch)] = &operatorv1.AgentBlob{Digest: string(blob.Digest), Size: blob.Size}
	}
	return resp
}
