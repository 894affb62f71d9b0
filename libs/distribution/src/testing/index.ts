export { type DistributionServer, type DistributionServerOptions, startDistribution } from './server.ts'
