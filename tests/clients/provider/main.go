// Command terraform-provider-kafka-connect is a Terraform provider for connectors, made for the tests: its schema is that
// of the community's provider (provider kafka-connect, resource kafka-connect_connector with name, config and
// config_sensitive), and it expects of the REST API what that one does, without its retries. A module of its own, so that
// its libraries never choose the versions of ours.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

func main() {
	err := providerserver.Serve(context.Background(), func() provider.Provider { return connect{} },
		providerserver.ServeOpts{Address: "millrace.invalid/tests/kafka-connect"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// connect is the provider.
type connect struct{}

func (connect) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "kafka-connect"
}

func (connect) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema.Attributes = map[string]schema.Attribute{"url": schema.StringAttribute{Required: true}}
}

func (connect) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config struct {
		URL types.String `tfsdk:"url"`
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.ResourceData = &client{base: config.URL.ValueString()}
}

func (connect) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return &connector{} }}
}

func (connect) DataSources(context.Context) []func() datasource.DataSource { return nil }
