package main

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// connector is the resource.
type connector struct{ client *client }

// model is a connector as Terraform knows it. The keys of Sensitive are shown nowhere.
type model struct {
	ID        types.String      `tfsdk:"id"`
	Name      types.String      `tfsdk:"name"`
	Config    map[string]string `tfsdk:"config"`
	Sensitive map[string]string `tfsdk:"config_sensitive"`
}

// whole is the configuration as the REST API has it.
func (m model) whole() map[string]string {
	all := maps.Clone(m.Config)
	maps.Copy(all, m.Sensitive)
	return all
}

// take takes what the REST API has: what differs from the state is drift.
func (m *model) take(config map[string]string) {
	m.ID, m.Config = m.Name, map[string]string{}
	for k, v := range config {
		if _, ok := m.Sensitive[k]; ok {
			m.Sensitive[k] = v
		} else {
			m.Config[k] = v
		}
	}
	for k := range m.Sensitive {
		if _, ok := config[k]; !ok {
			delete(m.Sensitive, k)
		}
	}
}

func (*connector) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_connector"
}

func (*connector) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema.Attributes = map[string]schema.Attribute{
		"id":               schema.StringAttribute{Computed: true, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}},
		"name":             schema.StringAttribute{Required: true, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}},
		"config":           schema.MapAttribute{Required: true, ElementType: types.StringType},
		"config_sensitive": schema.MapAttribute{Optional: true, Sensitive: true, ElementType: types.StringType},
	}
}

func (c *connector) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	c.client, _ = req.ProviderData.(*client) // nil while a configuration is only checked
}

func (c *connector) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	if resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...); resp.Diagnostics.HasError() {
		return
	}
	got, err := c.client.create(ctx, m.Name.ValueString(), m.whole())
	if err != nil {
		resp.Diagnostics.AddError("Creating the connector failed", err.Error())
		return
	}
	m.take(got)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (c *connector) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var m model
	if resp.Diagnostics.Append(req.State.Get(ctx, &m)...); resp.Diagnostics.HasError() {
		return
	}
	got, err := c.client.config(ctx, m.Name.ValueString())
	if isNotFound(err) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resp.Diagnostics.AddError("Reading the connector failed", err.Error())
		return
	}
	m.take(got)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (c *connector) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m model
	if resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...); resp.Diagnostics.HasError() {
		return
	}
	got, err := c.client.update(ctx, m.Name.ValueString(), m.whole())
	if err != nil {
		resp.Diagnostics.AddError("Changing the connector failed", err.Error())
		return
	}
	m.take(got)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (c *connector) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var m model
	if resp.Diagnostics.Append(req.State.Get(ctx, &m)...); resp.Diagnostics.HasError() {
		return
	}
	if err := c.client.remove(ctx, m.Name.ValueString()); err != nil && !isNotFound(err) {
		resp.Diagnostics.AddError("Deleting the connector failed", err.Error())
	}
}

func (*connector) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resource.ImportStatePassthroughID(ctx, path.Root("name"), req, resp)
}
