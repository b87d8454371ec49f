package portal

import "net/http"

func (p *Portal) pages(mux *http.ServeMux) {}
